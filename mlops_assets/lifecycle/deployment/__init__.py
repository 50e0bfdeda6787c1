"""From a verdict to what serves, and back: `deployed_version`, its rollout, its history and its end."""
