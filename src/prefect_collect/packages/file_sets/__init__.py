"""What packages of other than bags and load files share: items as files, the list of them, and the exceptions."""
