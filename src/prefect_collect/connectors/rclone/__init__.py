"""Reading cloud drives through a process of rclone (https://rclone.org), which speaks their protocols."""
