COLOUR = 'red'
