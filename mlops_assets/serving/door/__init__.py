"""What every request passes before its route: who calls, what they may, how much and how fast."""
