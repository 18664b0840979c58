"""The connector for SFTP servers, over the system's ``ssh``."""
