"""The metrics and params under which runs log tokens and costs of their own."""

# As libraries and people name them; the first that a run logged counts.
COSTS = ("total_cost", "cost", "total_cost_usd", "cost_usd", "llm_cost")
INPUTS = ("input_tokens", "prompt_tokens", "total_input_tokens", "total_prompt_tokens")
OUTPUTS = ("output_tokens", "completion_tokens", "total_output_tokens", "total_completion_tokens")
MODELS = ("model", "model_name", "llm", "llm_model", "model_id")
PROVIDERS = ("provider", "model_provider", "llm_provider")
