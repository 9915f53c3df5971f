"""What the labels of containers say, as the settings of apps: one table for each dialect."""
