"""What there is. Knows neither Flask nor forms, neither mail servers nor the clock on the wall."""
