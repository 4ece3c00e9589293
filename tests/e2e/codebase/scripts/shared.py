def step():
    import deploy
    return deploy.Step
