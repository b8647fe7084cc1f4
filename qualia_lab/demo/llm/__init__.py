"""The scenario ``llm``: simulated traces of a pipeline that criticises its own summaries.

Read in order: ``prices.py`` says what tokens cost, ``texts.py`` makes requests and answers,
``plan.py`` says which traces, ``truth.py`` adds up what was planted, ``record.py`` writes it all.
No model is called.
"""
