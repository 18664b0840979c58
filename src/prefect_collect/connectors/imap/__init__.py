"""The connector for mailboxes over IMAP4rev1 (RFC 3501), of the standard library's sockets alone.

`imaplib` is not used, nor IMAPClient, which stands on it: both receive the answer to a command whole before they return
any of it, so 100 messages, or one of 5 GB, would lie in memory; they run one command at a time; and they leave the
parsing of ENVELOPE, BODYSTRUCTURE and of literals within lists to their caller (imaplib) or keep no bound for it
(IMAPClient). What a reader of mailboxes needs of the protocol (twelve commands, one grammar of answers) is small.
"""
