// Vercel's AI SDK, as its documentation uses it, with either of its providers that speak to a server like this one.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  embed, embedMany, generateImage, generateObject, generateSpeech, generateText, isStepCount, Output, streamObject,
  streamText, tool, transcribe,
} from "ai";
import { z } from "zod";

const openai = (baseURL) => createOpenAI({ baseURL, apiKey: "none" });
const compatible = (baseURL) =>
  createOpenAICompatible({
    name: "ours", baseURL, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true,
  });
// The provider's own choice is the API of responses.
const models = {
  responses: ({ url, model }) => openai(url)(model),
  chat: ({ url, model }) => openai(url).chat(model),
  compatible: ({ url, model }) => compatible(url)(model),
};
const modelOf = (given) => models[given.by](given);
const schema = z.object({ city: z.string(), people: z.number() });
const settings = { maxRetries: 0 };

const toolsOf = (places) => ({
  weather: tool({
    description: "Weather of a place.",
    inputSchema: z.object({ place: z.string() }),
    execute: async ({ place }) => (places.push(place), `rain in ${place}`),
  }),
});
const withTools = (given, places) => ({
  ...settings, model: modelOf(given), prompt: "What is the weather in Bonn?", tools: toolsOf(places),
  stopWhen: isStepCount(3),
});

export const cases = {
  async text(given) {
    const made = await generateText({ ...settings, model: modelOf(given), instructions: "Be brief.", prompt: "hello" });
    const { text, finishReason, usage, warnings, response } = made;
    return { text, finishReason, usage, warnings, id: response.id, route: response.headers["x-intermodal-route"] };
  },

  async textStream(given) {
    const made = streamText({ ...settings, model: modelOf(given), prompt: "hello" });
    const pieces = [];
    for await (const piece of made.textStream) pieces.push(piece);
    return { pieces, finishReason: await made.finishReason, usage: await made.usage };
  },

  async brokenStream(given) {
    const errors = [];
    const onError = ({ error }) => errors.push(error.message ?? String(error));
    const made = streamText({ ...settings, model: modelOf(given), prompt: "hello", onError });
    const pieces = [];
    for await (const piece of made.textStream) pieces.push(piece);
    return { pieces, errors };
  },

  async tools(given) {
    const places = [];
    const made = await generateText(withTools(given, places));
    return { places, text: made.text, steps: made.steps.map((step) => step.finishReason) };
  },

  async toolsStream(given) {
    const places = [];
    const made = streamText(withTools(given, places));
    const text = await made.text;
    return { places, text, steps: (await made.steps).map((step) => step.finishReason) };
  },

  async object(given) {
    const asked = { ...settings, model: modelOf(given), prompt: "Which city?" };
    const { output } = await generateText({ ...asked, output: Output.object({ schema }) });
    const { object } = await generateObject({ ...asked, schema });
    const stream = streamObject({ ...asked, schema });
    for await (const partial of stream.partialObjectStream) void partial;
    return [output, object, await stream.object];
  },

  async media({ picture, sound, pdf, ...given }) {
    const content = [{ type: "text", text: "What is this about?" }];
    if (picture) content.push({ type: "image", image: picture });
    if (sound) content.push({ type: "file", data: readFileSync(sound), mediaType: "audio/wav" });
    if (pdf) {
      content.push({ type: "file", data: readFileSync(pdf), mediaType: "application/pdf", filename: basename(pdf) });
    }
    return (await generateText({ ...settings, model: modelOf(given), messages: [{ role: "user", content }] })).text;
  },

  async vectors({ url, model, values }) {
    const each = [openai(url).embedding(model), compatible(url).embeddingModel(model)];
    const many = await Promise.all(each.map((model) => embedMany({ ...settings, model, values })));
    const one = await embed({ ...settings, model: each[0], value: values[0] });
    return { many: many.map(({ embeddings }) => embeddings), one: one.embedding, tokens: one.usage.tokens };
  },

  async transcript({ url, model, sound }) {
    const asked = { ...settings, model: openai(url).transcription(model), audio: readFileSync(sound) };
    const { text, durationInSeconds, segments } = await transcribe(asked);
    return { text, durationInSeconds, segments };
  },

  async speech({ url, model }) {
    const made = await generateSpeech({
      ...settings, model: openai(url).speech(model), text: "Good morning.", voice: "alloy", outputFormat: "wav",
    });
    return Buffer.from(made.audio.uint8Array).subarray(0, 4).toString();
  },

  async pictures({ url, model }) {
    const made = await generateImage({ ...settings, model: openai(url).image(model), prompt: "a crane at dawn", n: 2 });
    return made.images.map(({ mediaType }) => mediaType);
  },

  async error(given) {
    try {
      await generateText({ ...settings, model: modelOf(given), prompt: "hello" });
    } catch ({ name, statusCode, isRetryable, message }) {
      return { name, statusCode, isRetryable, message };
    }
    return null;
  },
};
