"""What the kernels compute, in TVM's tensor IR, for any target. Installed and imported as `lascompile.kernels`.

One micro-kernel idea serves every convolution (`row_conv`): a tile of rows times a block of channels, whose row numbers
come from a dense range, a list of active pixels, or packed rows. Around it stand the kernels that make the lists
(`mask_lists`, `tile_lists`), element-wise ones (`row_map`), pooling, and the way into row matrices and out of them
(`layout`). How all of it runs on a kind of target is said in `schedules/<target>/`.
"""

if __name__ != "lascompile.kernels":
    raise ImportError(f"{__name__} is not a package of its own: import lascompile.kernels")
