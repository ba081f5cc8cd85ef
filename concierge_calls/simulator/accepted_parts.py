"""The parts of an assistant that depend on a provider, as published: data for the same check as `accepted`."""

from typing import Final

# Vapi: OpenAPI document of August 2026. Each provider has a schema of its own; the ones below are looked into, and of
# the others only what all of them require. Tool and Transport hold the properties of all their variants.
PARTS: Final[dict[str, dict[str, str]]] = {
    "OpenAIModel": {
        "messages": "array of =OpenAIMessage",
        "tools": "array of =Tool",
        "toolIds": "array of string",
        "toolRefs": "array of object",
        "knowledgeBase": "any",
        "provider": "string in openai",
        "model": (
            "string in gpt-5.6-sol|gpt-5.6-terra|gpt-5.6-luna|gpt-5.5|chat-latest|gpt-5.4|gpt-5.4-mini|gpt-5.4-nano|"
            "gpt-5.2|gpt-5.2-chat-latest|gpt-5.1|gpt-5.1-chat-latest|gpt-5|gpt-5-chat-latest|gpt-5-mini|"
            "gpt-5-nano|gpt-4.1-2025-04-14|gpt-4.1-mini-2025-04-14|gpt-4.1-nano-2025-04-14|gpt-4.1|"
            "gpt-4.1-mini|gpt-4.1-nano|chatgpt-4o-latest|o3|o3-mini|o4-mini|o1-mini|o1-mini-2024-09-12|"
            "gpt-4o-realtime-preview-2024-10-01|gpt-4o-realtime-preview-2024-12-17|"
            "gpt-4o-mini-realtime-preview-2024-12-17|gpt-realtime-2025-08-28|gpt-realtime-mini-2025-12-15|"
            "gpt-realtime-2|gpt-4o-mini-2024-07-18|gpt-4o-mini|gpt-4o|gpt-4o-2024-05-13|gpt-4o-2024-08-06|"
            "gpt-4o-2024-11-20|gpt-4-turbo|gpt-4-turbo-2024-04-09|gpt-4-turbo-preview|gpt-4-0125-preview|"
            "gpt-4-1106-preview|gpt-4|gpt-4-0613|gpt-3.5-turbo|gpt-3.5-turbo-0125|gpt-3.5-turbo-1106|"
            "gpt-3.5-turbo-16k|gpt-3.5-turbo-0613|gpt-5.6-luna:westus3|gpt-5.6-terra:westus3|"
            "gpt-5.6-sol:westus3|gpt-5.4:eastus2|gpt-5.4:swedencentral|gpt-5.4-mini:eastus2|"
            "gpt-5.4-mini:swedencentral|gpt-5.4-nano:eastus2|gpt-5.4-nano:swedencentral|gpt-5.2:eastus2|"
            "gpt-5.2:swedencentral|gpt-5.1:eastus2|gpt-5.1:swedencentral|gpt-5:eastus2|gpt-5:swedencentral|"
            "gpt-5:canadaeast|gpt-5:eastus|gpt-5:westeurope|gpt-5:germanywestcentral|gpt-5:polandcentral|"
            "gpt-5:spaincentral|gpt-5-mini:eastus2|gpt-5-mini:swedencentral|gpt-5-mini:westeurope|"
            "gpt-5-mini:germanywestcentral|gpt-5-mini:polandcentral|gpt-5-mini:spaincentral|"
            "gpt-5-nano:eastus2|gpt-5-nano:swedencentral|gpt-4.1-2025-04-14:westus|"
            "gpt-4.1-2025-04-14:eastus2|gpt-4.1-2025-04-14:eastus|gpt-4.1-2025-04-14:westus3|"
            "gpt-4.1-2025-04-14:northcentralus|gpt-4.1-2025-04-14:southcentralus|"
            "gpt-4.1-2025-04-14:westeurope|gpt-4.1-2025-04-14:germanywestcentral|"
            "gpt-4.1-2025-04-14:polandcentral|gpt-4.1-2025-04-14:spaincentral|gpt-4.1-mini-2025-04-14:westus|"
            "gpt-4.1-mini-2025-04-14:eastus2|gpt-4.1-mini-2025-04-14:eastus|gpt-4.1-mini-2025-04-14:westus3|"
            "gpt-4.1-mini-2025-04-14:northcentralus|gpt-4.1-mini-2025-04-14:southcentralus|"
            "gpt-4.1-mini-2025-04-14:westeurope|gpt-4.1-mini-2025-04-14:germanywestcentral|"
            "gpt-4.1-mini-2025-04-14:polandcentral|gpt-4.1-mini-2025-04-14:spaincentral|"
            "gpt-4.1-nano-2025-04-14:westus|gpt-4.1-nano-2025-04-14:eastus2|gpt-4.1-nano-2025-04-14:westus3|"
            "gpt-4.1-nano-2025-04-14:northcentralus|gpt-4.1-nano-2025-04-14:southcentralus|"
            "gpt-4o-2024-11-20:swedencentral|gpt-4o-2024-11-20:westus|gpt-4o-2024-11-20:eastus2|"
            "gpt-4o-2024-11-20:eastus|gpt-4o-2024-11-20:westus3|gpt-4o-2024-11-20:southcentralus|"
            "gpt-4o-2024-11-20:westeurope|gpt-4o-2024-11-20:germanywestcentral|"
            "gpt-4o-2024-11-20:polandcentral|gpt-4o-2024-11-20:spaincentral|gpt-4o-2024-08-06:westus|"
            "gpt-4o-2024-08-06:westus3|gpt-4o-2024-08-06:eastus|gpt-4o-2024-08-06:eastus2|"
            "gpt-4o-2024-08-06:northcentralus|gpt-4o-2024-08-06:southcentralus|gpt-4o-mini-2024-07-18:westus|"
            "gpt-4o-mini-2024-07-18:westus3|gpt-4o-mini-2024-07-18:eastus|gpt-4o-mini-2024-07-18:eastus2|"
            "gpt-4o-mini-2024-07-18:northcentralus|gpt-4o-mini-2024-07-18:southcentralus|"
            "gpt-4o-2024-05-13:eastus2|gpt-4o-2024-05-13:eastus|gpt-4o-2024-05-13:northcentralus|"
            "gpt-4o-2024-05-13:southcentralus|gpt-4o-2024-05-13:westus3|gpt-4o-2024-05-13:westus|"
            "gpt-4-turbo-2024-04-09:eastus2|gpt-4-0125-preview:eastus|gpt-4-0125-preview:northcentralus|"
            "gpt-4-0125-preview:southcentralus|gpt-4-1106-preview:australiaeast|"
            "gpt-4-1106-preview:canadaeast|gpt-4-1106-preview:france|gpt-4-1106-preview:india|"
            "gpt-4-1106-preview:norway|gpt-4-1106-preview:swedencentral|gpt-4-1106-preview:uk|"
            "gpt-4-1106-preview:westus|gpt-4-1106-preview:westus3|gpt-4-0613:canadaeast|"
            "gpt-3.5-turbo-0125:canadaeast|gpt-3.5-turbo-0125:northcentralus|"
            "gpt-3.5-turbo-0125:southcentralus|gpt-3.5-turbo-1106:canadaeast|gpt-3.5-turbo-1106:westus|"
            "gpt-4.1:australiaeast|gpt-4o:australiaeast|gpt-5.4-mini:australiaeast"
        ),
        "fallbackModels": "array of string",
        "toolStrictCompatibilityMode": (
            "string in strip-parameters-with-unsupported-validation|strip-unsupported-validation"
        ),
        "promptCacheRetention": "string in in_memory|24h",
        "promptCacheKey": "string ..64",
        "reasoningEffort": "string in minimal|none|low|medium|high|xhigh",
        "temperature": "number 0..2",
        "maxTokens": "number 50..10000",
        "emotionRecognitionEnabled": "boolean",
        "numFastTurns": "number 0..",
    },
    "VapiVoice": {
        "cachingEnabled": "boolean",
        "provider": "string in vapi",
        "voiceId": "string",
        "version": "any",
        "speed": "number 0.25..2",
        "language": "string",
        "pronunciationDictionary": "array of object",
        "chunkPlan": "object",
    },
    "DeepgramTranscriber": {
        "provider": "string in deepgram",
        "model": "any",
        "language": "string",
        "smartFormat": "boolean",
        "mipOptOut": "boolean",
        "numerals": "boolean",
        "profanityFilter": "boolean",
        "redaction": "array of string in pci|pii|phi|numbers",
        "confidenceThreshold": "number 0..1",
        "eotThreshold": "number 0.5..0.9",
        "eotTimeoutMs": "number 500..10000",
        "languages": "array of string",
        "keywords": "array of string",
        "keyterm": "array of string",
        "endpointing": "number 10..500",
        "fallbackPlan": "object",
    },
    "VapiVoicemailDetectionPlan": {
        "beepMaxAwaitSeconds": "number 0..30",
        "provider": "string in vapi",
        "backoffPlan": "=VoicemailDetectionBackoffPlan",
        "type": "string in audio|transcript",
    },
    "VoicemailDetectionBackoffPlan": {
        "startAtSeconds": "number 0..",
        "frequencySeconds": "number 2.5..",
        "maxRetries": "number 1..10",
    },
    "Tool": {
        "messages": "array of any",
        "type": (
            "string in apiRequest|bash|code|computer|dtmf|endCall|function|"
            "gohighlevel.calendar.availability.check|gohighlevel.calendar.event.create|"
            "gohighlevel.contact.create|gohighlevel.contact.get|google.calendar.availability.check|"
            "google.calendar.event.create|google.sheets.row.append|handoff|mcp|query|"
            "slack.message.send|sms|textEditor|transferCall|sipRequest|voicemail"
        ),
        "name": "string",
        "method": "string in POST|GET|PUT|PATCH|DELETE",
        "timeoutSeconds": "number",
        "credentialId": "string",
        "encryptedPaths": "array of string",
        "parameters": "array of object",
        "description": "string",
        "url": "string",
        "body": "any",
        "headers": "object",
        "backoffPlan": "=BackoffPlan",
        "variableExtractionPlan": "object",
        "rejectionPlan": "object",
        "subType": "string",
        "server": "=Server",
        "async": "boolean",
        "code": "string ..50000",
        "environmentVariables": "array of object",
        "function": "object",
        "displayWidthPx": "number",
        "displayHeightPx": "number",
        "displayNumber": "number",
        "sipInfoDtmfEnabled": "boolean",
        "defaultResult": "string",
        "destinations": "array of any",
        "toolMessages": "array of object",
        "metadata": "object",
        "knowledgeBases": "array of object",
        "verb": "string in INFO|MESSAGE|NOTIFY",
        "beepDetectionEnabled": "boolean",
    },
    "Transport": {
        "conversationType": "string in voice",
        "provider": "string",
        "audioFormat": "object",
        "conversationUUID": "string",
        "callUUID": "string",
        "accountSid": "string",
        "callSid": "string",
        "callToken": "string",
        "forwardedFrom": "string",
        "dialTimeout": "number 1..600",
        "sbcCallSid": "string",
        "callControlId": "string",
        "callLegId": "string",
        "callSessionId": "string",
        "roomDeleteOnUserLeaveEnabled": "boolean",
        "callUrl": "string",
        "callSipUri": "string",
    },
}

PARTS_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "OpenAIModel": ("provider", "model"),
    "VapiVoice": ("provider", "voiceId"),
    "DeepgramTranscriber": ("provider",),
    "VapiVoicemailDetectionPlan": ("provider",),
    "Tool": ("type",),
    "Transport": ("provider",),
}

BY_PROVIDER: Final[dict[str, dict[str, str]]] = {
    "model": {"openai": "OpenAIModel"},
    "voice": {"vapi": "VapiVoice"},
    "transcriber": {"deepgram": "DeepgramTranscriber"},
    "voicemailDetection": {"vapi": "VapiVoicemailDetectionPlan"},
}
"""Property -> provider -> the schema that its value must keep to."""

EVERY_PROVIDER: Final[dict[str, tuple[str, ...]]] = {
    "model": ("provider", "model"),
    "voice": ("provider",),
    "transcriber": ("provider",),
    "voicemailDetection": ("provider",),
}
"""Property -> what every provider's schema requires."""
