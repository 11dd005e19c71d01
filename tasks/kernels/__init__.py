"""Loops over numbers, compiled: what is asked of every byte of every page.

One idea a file; a kernel takes and returns arrays and knows nothing of documents. Tests hold what is made of kernels
beside the same in plain Python: runs, tables and words in tests/unit/test_kernels.py, pages and articles in
tests/unit/test_html.py (with tests/plain). Import them where they are used, not at the top of what
only reads a configuration: the compiler's runtime takes half a second to load.
"""
