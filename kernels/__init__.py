"""What the kernels compute, in TVM's tensor IR, without a schedule. Installed and imported as `lascompile.kernels`.

One micro-kernel idea serves every convolution (`row_conv`): a tile of rows times a block of channels, whose row numbers
come from a dense range, a list of active pixels, or packed rows. Around it stand the kernels that make the lists
(`mask_lists`), element-wise ones (`row_map`), pooling, and the way into row matrices and out of them (`layout`).
"""

if __name__ != "lascompile.kernels":
    raise ImportError(f"{__name__} is not a package of its own: import lascompile.kernels")
