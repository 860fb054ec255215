"""Everything outside pure logic: encoder, knowledge, storage, guards on models, clock."""
