"""Language models: which are configured, which is asked, and what an answer cost. `docs/language-models.md` tells it to
whoever sets them up.

    Router.ask ── for each provider of the route ── breaker · keys · budget · window ──▶ Chat ──▶ LangChain
         │                                                                             │
         ▼                                                                             ▼
       Answer, or LanguageModelsAway (they may be back), or NoAnswer            CallFailed, with its outcome

`breaker`, `keys`, `decision`, `tokens`, `prompt` and `structured` are pure. LangChain is imported by the first call:
who has no provider needs none of it installed.
"""
