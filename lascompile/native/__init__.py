"""C sources that are linked into every library: what a compiled network needs beside its kernels.

`toolchain/native.py` compiles them for the target, with the compiler driver that links.
"""
