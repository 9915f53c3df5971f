"""LXC guests and virtual machines of Proxmox VE."""
