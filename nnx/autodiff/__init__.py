"""The differentiable Array API: arrays that record, the namespaces they compute in, and what differentiates them."""

from .array import Array as Array
from .custom import checkpoint as checkpoint
from .custom import custom_vjp as custom_vjp
from .gradcheck import check_grads as check_grads
from .inputs import stop_gradient as stop_gradient
from .jacobians import hessian as hessian
from .jacobians import hvp as hvp
from .jacobians import jacobian as jacobian
from .namespace import differentiable as differentiable
from .namespace import namespace as namespace
from .parameter import Buffer as Buffer
from .parameter import Parameter as Parameter
from .parameter import record as record
from .parameter import variable as variable
from .primitive import primitive as primitive
from .transforms import grad as grad
from .transforms import jvp as jvp
from .transforms import value_and_grad as value_and_grad
from .transforms import vjp as vjp
