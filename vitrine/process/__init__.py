"""What every service process does alike: it reads its settings, logs, shows its metrics and hears signals."""
