"""The connector for lists of URLs: each line of a file names one, whose content is an item."""
