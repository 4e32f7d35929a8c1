//! Objects of the media pipeline over object_store: key layout, put-once, pointers, ranged reads, scratch space.
