"""One attempt of a collection: list the source, stage its items shard by shard, and account for all of them."""
