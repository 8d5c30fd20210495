"""CSS: scenes of coloured shapes on a grid and texts that change them, after Vo et al. (2019); a second protocol."""
