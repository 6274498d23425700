"""CuPy's own special functions, one launch each, where they are as right as the references in Array API code.

Left to the references, because of what CuPy 14 computes:

- i0e, i1e: ``exp(-|x|) * i0(x)``, which is inf * 0 = nan beyond |x| = 713 (float32: 91);
- xlog1py: 0 for (0, nan), which should be nan;
- logit: ``log(x / (1 - x))`` and kl_div: ``x log(x / y) - x + y``, which cancel near 1/2 and near x = y;
- rel_entr: ``x log(x / y)``, whose quotient overflows;
- sinc: ``sin(pi x) / (pi x)``, which is not 0 at the integers;
- multigammaln, polygamma, softmax, log_softmax, logsumexp, betaln: several launches or a wait for the device, too.
"""

from __future__ import annotations

from collections.abc import Callable

import cupyx.scipy.special as native

_NAMES = [
    *("erf", "erfc", "erfcx", "erfinv", "erfcinv", "ndtr", "log_ndtr", "ndtri"),
    *("gamma", "gammaln", "digamma", "psi"),
    *("i0", "i1", "expit", "log_expit", "xlogy", "entr"),
]

EXTENSIONS: dict[str, Callable] = {f"special.{name}": getattr(native, name) for name in _NAMES}
