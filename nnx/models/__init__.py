"""Networks from the literature, built from layers. Their parameters have the names of PyTorch's usual versions."""

from .lenet import LeNet5 as LeNet5
from .mobilenet import InvertedResidual as InvertedResidual
from .mobilenet import MobileNetV2 as MobileNetV2
from .resnet import BasicBlock as BasicBlock
from .resnet import Bottleneck as Bottleneck
from .resnet import ResNet as ResNet
from .resnet import resnet18 as resnet18
from .resnet import resnet20 as resnet20
from .resnet import resnet50 as resnet50
from .squeeze_excite import SqueezeExcitation as SqueezeExcitation
from .unet import UNet as UNet
from .vgg import VGG as VGG
from .vgg import vgg11 as vgg11
from .vgg import vgg16 as vgg16
