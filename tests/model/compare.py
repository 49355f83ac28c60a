"""50 prompts at temperature 0, to the model's own server and through us, whole and streamed in turn: the texts must be the same."""

import os
import sys
import time

from openai import OpenAI

SUBJECTS = ["the sea", "a lighthouse", "bread", "the moon", "an honest clerk", "winter", "a small village", "rain", "an old bridge", "a cat"]
ASKED = ["Write a sentence about {}.", "What is {}?", "Tell a child about {}.", "Name three things about {}.", "Describe {} in a few words."]
PROMPTS = [asked.format(subject) for asked in ASKED for subject in SUBJECTS]

WAYS = {
    "directly": (OpenAI(base_url=os.environ["MODEL_DIRECT"], api_key="none", max_retries=0), "smollm2"),
    "through us": (OpenAI(base_url=os.environ["MODEL_URL"], api_key=os.environ["MODEL_KEY"], max_retries=0), "smollm2/135m"),
}


def ask(client, model, prompt, stream):
    """The text, and what it was charged where the answer says so."""
    question = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 32}
    raw = client.chat.completions.with_raw_response.create(stream=stream, **question)
    answer = raw.parse()
    if stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices), 0
    return answer.choices[0].message.content, int(raw.headers.get("x-toki-charged-tokens", 0))


def main():
    texts, charged = {}, 0
    for way, (client, model) in WAYS.items():
        # The server keeps what the last prompt left in its cache, which moves the last digits of the next one's numbers. So all prompts
        # go one way before they go the other, each behind the same one.
        ask(client, model, PROMPTS[-1], stream=False)
        begun = time.monotonic()
        answers = [ask(client, model, prompt, stream=number % 2 == 1) for number, prompt in enumerate(PROMPTS)]
        texts[way] = [text for text, _ in answers]
        charged += sum(tokens for _, tokens in answers)
        print(f"{way}: {len(answers)} prompts in {time.monotonic() - begun:.1f} s")
    same = 0
    for prompt, directly, through_us in zip(PROMPTS, *texts.values()):
        if directly == through_us != "":
            same += 1
        else:
            print(f"{prompt}\n  directly:   {directly!r}\n  through us: {through_us!r}")
    print(f"{same} of {len(PROMPTS)} texts are the same; every other one was streamed, and those that were not were charged {charged} Tokens")
    sys.exit(0 if same == len(PROMPTS) else 1)


main()
