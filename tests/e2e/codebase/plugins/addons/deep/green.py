COLOUR = 'green'
