"""How the kernels are computed on a kind of target: spaces of decisions, their defaults, the guard of the dynamic ones.

Installed and imported as `lascompile.schedules`.
"""

if __name__ != "lascompile.schedules":
    raise ImportError(f"{__name__} is not a package of its own: import lascompile.schedules")
