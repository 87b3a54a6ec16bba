"""Names of models and providers as gateways, clouds and instrumentations spell them, and what they mean.

The same model is `gpt-4o` to OpenAI, `azure/gpt-4o` to LiteLLM, `us.anthropic.claude-…` or an ARN to Bedrock, and
`publishers/google/models/gemini-…` to Vertex AI. What is taken away is where it was asked, never what was asked: a
fine-tune, a version and Bedrock's regional prefix stay, as they have prices of their own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PROVIDERS = {
    "anthropic": ("claude",),
    "aws": (
        "bedrock",
        "bedrock_converse",
        "aws.bedrock",
        "amazon_bedrock",
        "amazon-bedrock",
        "amazon bedrock",
    ),
    "azure": (
        "azure.ai.openai",
        "az.ai.openai",
        "azure.ai.inference",
        "az.ai.inference",
        "azure_openai",
        "azure-openai",
        "azure_ai",
        "azure openai",
        "azure_text",
    ),
    "cerebras": (),
    "cloudflare": ("workers-ai", "workers_ai"),
    "cohere": ("cohere_chat", "cohere.chat"),
    "databricks": (),
    "deepseek": (),
    "elevenlabs": (),
    "fireworks": ("fireworks_ai", "fireworks-ai"),
    "github-copilot": ("github_copilot",),
    "google": (
        "gemini",
        "gcp.gemini",
        "gcp.gen_ai",
        "gcp.vertex_ai",
        "google_genai",
        "google-genai",
        "vertex_ai",
        "vertex_ai_beta",
        "vertex-ai",
        "vertexai",
    ),
    "groq": (),
    "meta": ("meta_llama",),
    "minimax": (),
    "mistral": ("mistral_ai", "mistralai", "mistral-ai"),
    "moonshotai": ("moonshot",),
    "novita": (),
    "openai": ("text-completion-openai", "openai_chat"),
    "openrouter": (),
    "perplexity": (),
    "together": ("together_ai", "together-ai", "togetherai"),
    "voyageai": ("voyage",),
    "x-ai": ("x_ai", "xai"),
    "zai": (),
}
"""Provider, as genai-prices calls it → its other names in LiteLLM, OpenTelemetry (gen_ai.provider.name) and clouds."""

_PROVIDERS = {name: provider for provider, others in PROVIDERS.items() for name in (provider, *others)}

GATEWAYS = frozenset({"litellm", "litellm_proxy", "kong", "envoy", "portkey", "helicone"})
"""What stands where a provider should, and is none."""

WHERE = re.compile(
    r"^(?:"
    r"arn:aws[a-z-]*:bedrock:[^/]*:(?:foundation-model|inference-profile)/"
    r"|projects/[^/]+/locations/[^/]+/"
    r"|publishers/[^/]+/models/"
    r"|accounts/fireworks/models/"
    r"|models/"
    r"|(?:converse|invoke|converse_like)/"
    r"|[a-z]{2}(?:-[a-z]+)+-\d/"
    r"|global(?:-standard)?/"
    r"|responses/"
    r")"
)
"""What stands before a model and says only where or how it was asked."""

LATEST = re.compile(r"@(?:default|latest)$")
"""Vertex AI's word for no version."""


class ModelName(NamedTuple):
    """A model and its provider, as genai-prices calls that; "" where nothing says whose it is."""

    provider: str
    model: str


def provider_of(spelt: str) -> str:
    """Return the provider that is meant; "" for none and for a gateway, as it is spelt where it is not known."""
    name = spelt.strip().lower()
    return "" if name in GATEWAYS else _PROVIDERS.get(name, name)


def read(model: str, provider: str = "") -> ModelName:
    """Return what is meant by a model's name. provider: what else says whose it is."""
    whose = provider_of(provider)
    name = model.strip()
    while True:
        first, slash, rest = name.partition("/")
        told = _PROVIDERS.get(first.lower()) if slash else None
        if told is not None and whose in {"", told} and rest:
            whose, name = told, rest
        elif first.lower() in GATEWAYS and rest:
            name = rest
        elif (found := WHERE.match(name.lower())) is not None and found.end() < len(name):
            name = name[found.end() :]
        else:
            return ModelName(whose, LATEST.sub("", name.lower()))
