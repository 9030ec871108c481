"""The names of `funcgrad.scipy.special`, which are put together at run time, for type checkers."""

from funcgrad.numpy._ufunc import UFunc
from funcgrad.scipy.special._orders import (
    bernoulli,
    bessel_jn,
    comb,
    factorial,
    multigammaln,
    polygamma,
    sph_harm_y,
    zeta,
)
from funcgrad.scipy.special._sums import log_softmax, logsumexp, softmax

beta: UFunc
betainc: UFunc
betaln: UFunc
binom: UFunc
boxcox1p: UFunc
boxcox: UFunc
dawsn: UFunc
digamma: UFunc
entr: UFunc
erf: UFunc
erfc: UFunc
erfcx: UFunc
erfinv: UFunc
exp1: UFunc
expi: UFunc
expit: UFunc
expn: UFunc
fresnel: UFunc
gamma: UFunc
gammainc: UFunc
gammaincc: UFunc
gammaln: UFunc
gammasgn: UFunc
hyp1f1: UFunc
hyp2f1: UFunc
i0: UFunc
i0e: UFunc
i1: UFunc
i1e: UFunc
kl_div: UFunc
log_expit: UFunc
log_ndtr: UFunc
loggamma: UFunc
logit: UFunc
ndtr: UFunc
ndtri: UFunc
owens_t: UFunc
poch: UFunc
psi: UFunc
rel_entr: UFunc
sici: UFunc
spence: UFunc
wofz: UFunc
xlog1py: UFunc
xlogy: UFunc

__all__ = [
    "bernoulli",
    "bessel_jn",
    "beta",
    "betainc",
    "betaln",
    "binom",
    "boxcox",
    "boxcox1p",
    "comb",
    "dawsn",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp1",
    "expi",
    "expit",
    "expn",
    "factorial",
    "fresnel",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "hyp1f1",
    "hyp2f1",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "loggamma",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "owens_t",
    "poch",
    "polygamma",
    "psi",
    "rel_entr",
    "sici",
    "softmax",
    "spence",
    "sph_harm_y",
    "wofz",
    "xlog1py",
    "xlogy",
    "zeta",
]
