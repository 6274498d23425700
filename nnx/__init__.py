"""nnx: neural networks on the Array API standard."""

from .autodiff import Array as Array
from .autodiff import Buffer as Buffer
from .autodiff import Parameter as Parameter
from .autodiff import check_grads as check_grads
from .autodiff import differentiable as differentiable
from .autodiff import grad as grad
from .autodiff import hessian as hessian
from .autodiff import hvp as hvp
from .autodiff import jacobian as jacobian
from .autodiff import jvp as jvp
from .autodiff import namespace as namespace
from .autodiff import record as record
from .autodiff import stop_gradient as stop_gradient
from .autodiff import value_and_grad as value_and_grad
from .autodiff import variable as variable
from .autodiff import vjp as vjp
from .backend import asarray as asarray
from .backend import available_backends as available_backends
from .backend import explain as explain
from .backend import get_backend as get_backend
from .backend import get_num_threads as get_num_threads
from .backend import set_backend as set_backend
from .backend import set_num_threads as set_num_threads
from .backend import to_numpy as to_numpy
from .backend import use_backend as use_backend
from .backend import use_kernels as use_kernels
