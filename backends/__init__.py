"""The backends of nnx: one plug-in per array library, imported as ``nnx.backends``.

This folder lies beside ``nnx/`` and is installed inside it. A plug-in imports `nnx.backend`, `nnx.errors`
and `nnx.dtypes` absolutely, its siblings relatively, and nothing above. Nothing is imported here:
`nnx.backend` loads a plug-in by name when the first array of its library arrives.
"""

# From a checkout's root Python would find this folder as a package of its own and build a second copy of
# every module, whose classes and caches the library would never look at.
if __name__ != "nnx.backends":
    raise ImportError(
        f"expected these modules under the name nnx.backends, got {__name__!r}: that would be a second copy "
        "of each. Install the checkout (`pip install -e .`) and write `import nnx.backends`, or just "
        "`import nnx`: it loads a backend by name when it is needed."
    )
