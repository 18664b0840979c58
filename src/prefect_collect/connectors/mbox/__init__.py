"""mbox files: how they are split into messages, and each message as an item.

The format is described by RFC 4155 and, with the ways in which programs differ (mboxo, mboxrd, mboxcl, mboxcl2), by
https://www.loc.gov/preservation/digital/formats/fdd/fdd000383.shtml and https://doc.dovecot.org/ (mail formats).
"""
