"""What tokens cost: prices of models, and the order in which sources of them are asked."""

from qualia_lab.prices.price import Price, Rates
from qualia_lab.prices.resolve import Prices

__all__ = ["Price", "Prices", "Rates"]
