from addons.red import COLOUR as RED

COLOUR = 'blue beside ' + RED
