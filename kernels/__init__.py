"""Installed and imported as `lascompile.kernels`."""

if __name__ != "lascompile.kernels":
    raise ImportError(f"{__name__} is not a package of its own: import lascompile.kernels")
