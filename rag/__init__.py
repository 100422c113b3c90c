"""Search over what was said, and answers from it. Begin with `keeper.py` (how the index follows PostgreSQL), then
`search.py`. The only service that loads PyTorch, and the only owner of the embedded index.
"""
