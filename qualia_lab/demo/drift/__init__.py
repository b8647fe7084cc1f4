"""The scenario ``drift``: scikit-learn's data with planted shifts, and models that meet them.

Read in order: ``plan.py`` says what is planted, ``tables.py`` and ``models.py`` make it,
``truth.py`` writes it down, ``record.py`` logs it.
"""
