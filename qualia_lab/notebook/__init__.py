"""From a selection and its runs to a notebook file: catalogue, cells, generator, write, execute."""
