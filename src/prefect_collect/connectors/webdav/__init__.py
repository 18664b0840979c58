"""The connector for folders on WebDAV servers (RFC 4918).

webdav4 is not used: it parses a listing when it is there as a whole, without bounds, and keeps one entry for each path,
so what a server lists twice would not be noticed. Here a listing is parsed as it arrives, and several folders are asked
for at once (`python -m benchmarks --only webdav-files`: beside rclone).
"""
