"""Text in, validated frozen values out, with file:line:column for every complaint."""
