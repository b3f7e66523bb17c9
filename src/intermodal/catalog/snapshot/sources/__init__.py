"""Published data about models, read out of the files that carry it. Data only: nothing that is read is ever run."""
