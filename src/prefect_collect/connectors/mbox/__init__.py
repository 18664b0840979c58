"""mbox files: how they are split into messages, and each message as an item.

The standard library's `mailbox` is not used: each line of a body that begins with ``From `` is a new message to it, so
it finds 2,000 messages in a file of 1,000 that have one such line each; it reads files of a folder only; and it takes
2.5 times as long (``python -m benchmarks.mbox_files``).

The format is described by RFC 4155 and, with the ways in which programs differ (mboxo, mboxrd, mboxcl, mboxcl2), by
https://www.loc.gov/preservation/digital/formats/fdd/fdd000383.shtml and https://doc.dovecot.org/ (mail formats).
"""
