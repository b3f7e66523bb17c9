"""Thirty-six tools, as a chat program sends them along with every request: searching, notes, memory, files, calendars.

Names, lengths and shapes are those of such programs; the words are ours. In OpenAI's form they are 17 kB of JSON.
"""

from __future__ import annotations

from typing import Any

_Row = tuple[str, str, dict[str, tuple[str, str]], tuple[str, ...]]
_COUNT = ("integer", "Maximum number of results to return, between 1 and 50 (default: 5)")
_SKIP = ("integer", "Number of results to leave out, for reading a long list page by page (default: 0)")

_ROWS: tuple[_Row, ...] = (
    ("get_current_timestamp", "Get the current Unix timestamp in seconds, together with the date and the time of day "
     "in UTC and in the time zone of the user.", {}, ()),
    ("calculate_timestamp", "Calculate the timestamp of a moment that lies some days, weeks, months or years before "
     "now. Use this whenever the user speaks of a time relative to today, such as 'last week' or 'three months ago'.", {
         "days_ago": ("integer", "Number of days to go back from now (default: 0)"),
         "weeks_ago": ("integer", "Number of weeks to go back from now (default: 0)"),
         "months_ago": ("integer", "Number of months to go back from now (default: 0)"),
         "years_ago": ("integer", "Number of years to go back from now (default: 0)"),
     }, ()),
    ("search_web", "Search the public web for information that may be newer than what you know: news, prices, "
     "documentation, opening hours. Returns titles, links and snippets of the best results.", {
         "query": ("string", "What to look for, as you would type it into a search engine"), "count": _COUNT,
     }, ("query",)),
    ("fetch_url", "Fetch the main text of a web page or of a document at an address, without its navigation, "
     "advertisements and scripts. Long pages are cut at fifty thousand characters.", {
         "url": ("string", "Full address, beginning with https:// or http://"),
     }, ("url",)),
    ("generate_image", "Generate a picture from a description. The picture is shown to the user at once; do not repeat "
     "its address in your answer.", {
         "prompt": ("string", "A detailed description of what is to be seen, its style, its colours and its light"),
         "size": ("string", "Width and height in pixels, such as 1024x1024"),
     }, ("prompt",)),
    ("edit_image", "Change one or more pictures of this conversation after a description, and show the result to the "
     "user.", {
         "prompt": ("string", "What is to be different in the picture afterwards"),
         "image_urls": ("array", "Addresses of the pictures to be changed, as they appear in the conversation"),
     }, ("prompt", "image_urls")),
    ("execute_code", "Execute Python code in a sandbox without a network and return what it printed. Use it for "
     "arithmetic, for data and for charts; files that are written to /mnt/output are shown to the user.", {
         "code": ("string", "The Python code to be executed, as one complete program"),
     }, ("code",)),
    ("search_memories", "Search what the user asked you to remember in earlier conversations: facts about them, their "
     "preferences, their projects and the people they know.", {
         "query": ("string", "What to look for in the memories"), "count": _COUNT,
     }, ("query",)),
    ("add_memory", "Store a new memory about the user, so that it is known in later conversations. Store only what the "
     "user wants to be remembered, in one sentence that can be understood by itself.", {
         "content": ("string", "The sentence to be remembered"),
     }, ("content",)),
    ("replace_memory", "Replace the content of a memory that is out of date with a new one.", {
        "memory_id": ("string", "Identifier of the memory, as search_memories returns it"),
        "content": ("string", "The sentence that is true now"),
    }, ("memory_id", "content")),
    ("delete_memory", "Delete a memory that the user does not want to be kept any longer.", {
        "memory_id": ("string", "Identifier of the memory, as search_memories returns it"),
    }, ("memory_id",)),
    ("list_memories", "List all memories about the user with their identifiers and the days on which they were stored.",
     {}, ()),
    ("search_notes", "Search the notes of the user by title and content. Returns titles, identifiers and the passages "
     "in which the words were found.", {
         "query": ("string", "Words to look for in titles and contents"), "count": _COUNT,
         "start_timestamp": ("integer", "Only notes that were changed at or after this time, in seconds since 1970"),
         "end_timestamp": ("integer", "Only notes that were changed at or before this time, in seconds since 1970"),
     }, ("query",)),
    ("view_note", "Get the whole content of a note in Markdown, with its title and when it was changed.", {
        "note_id": ("string", "Identifier of the note, as search_notes returns it"),
    }, ("note_id",)),
    ("write_note", "Create a new note with a title and content in Markdown. Use it when the user asks to write "
     "something down, and tell them the title afterwards.", {
         "title": ("string", "Title of the new note"), "content": ("string", "Content of the new note in Markdown"),
     }, ("title", "content")),
    ("replace_note_content", "Replace the content of a note by new content, and its title where a new one is given. "
     "The former content is lost, so read the note before and keep what is still wanted.", {
         "note_id": ("string", "Identifier of the note, as search_notes returns it"),
         "content": ("string", "The new content in Markdown"),
         "title": ("string", "A new title; left out, the note keeps the one it has"),
     }, ("note_id", "content")),
    ("search_chats", "Search the earlier conversations of the user by their titles and messages. Returns the title, "
     "the identifier, a snippet and the time of each conversation that was found.", {
         "query": ("string", "Words to look for in earlier conversations"), "count": _COUNT,
         "start_timestamp": ("integer", "Only conversations at or after this time, in seconds since 1970"),
         "end_timestamp": ("integer", "Only conversations at or before this time, in seconds since 1970"),
     }, ("query",)),
    ("view_chat", "Get all messages of an earlier conversation, in order, each with its role.", {
        "chat_id": ("string", "Identifier of the conversation, as search_chats returns it"),
    }, ("chat_id",)),
    ("search_channels", "Search for channels by name and description, among those that the user may read.", {
        "query": ("string", "Words to look for in names and descriptions"), "count": _COUNT,
    }, ("query",)),
    ("search_channel_messages", "Search the messages of all channels that the user may read, threads included.", {
        "query": ("string", "Words to look for in messages"), "count": _COUNT,
        "start_timestamp": ("integer", "Only messages at or after this time, in seconds since 1970"),
        "end_timestamp": ("integer", "Only messages at or before this time, in seconds since 1970"),
    }, ("query",)),
    ("view_channel_message", "Get one message of a channel with its author, its time and the reactions to it.", {
        "message_id": ("string", "Identifier of the message, as search_channel_messages returns it"),
    }, ("message_id",)),
    ("view_channel_thread", "Get the whole thread that a message of a channel belongs to, its first message first.", {
        "parent_message_id": ("string", "Identifier of the first message of the thread"),
    }, ("parent_message_id",)),
    ("list_knowledge_bases", "List the collections of documents that the user may read, with names, descriptions and "
     "the number of documents in each.", {"count": _COUNT, "skip": _SKIP}, ()),
    ("search_knowledge_bases", "Search for collections of documents by name and description.", {
        "query": ("string", "Words to look for in names and descriptions"), "count": _COUNT, "skip": _SKIP,
    }, ("query",)),
    ("search_knowledge_files", "Search for documents by their file names, in one collection or in all of them.", {
        "query": ("string", "Words to look for in file names"),
        "knowledge_id": ("string", "Identifier of a collection; left out, all of them are searched"),
        "count": _COUNT, "skip": _SKIP,
    }, ("query",)),
    ("view_file", "Get the text of a file that the user attached to this conversation, page by page.", {
        "file_id": ("string", "Identifier of the file"), "offset": ("integer", "First character (default: 0)"),
        "max_chars": ("integer", "Number of characters to return, 100000 at most (default: 10000)"),
    }, ("file_id",)),
    ("view_knowledge_file", "Get the text of a document of a collection, page by page.", {
        "file_id": ("string", "Identifier of the document"), "offset": ("integer", "First character (default: 0)"),
        "max_chars": ("integer", "Number of characters to return, 100000 at most (default: 10000)"),
    }, ("file_id",)),
    ("query_knowledge_bases", "Find the passages of documents that answer a question, by meaning and not by words. Use "
     "this before answering any question about the user's own documents, and name the documents in the answer.", {
         "query": ("string", "The question, in a whole sentence"),
         "knowledge_ids": ("array", "Identifiers of the collections to be searched; left out, all of them are"),
         "count": _COUNT,
     }, ("query",)),
    ("grep_knowledge_files", "Find the lines of documents that contain a word or match a regular expression, with "
     "their numbers and the names of the documents.", {
         "pattern": ("string", "A word, or a regular expression"),
         "case_insensitive": ("boolean", "Whether upper and lower case are the same (default: true)"),
         "count_only": ("boolean", "Whether only the number of lines of each document is wanted (default: false)"),
     }, ("pattern",)),
    ("list_calendar_events", "List the events in the calendars of the user between two times, with their places.", {
        "start": ("string", "First moment, in ISO 8601 with the time zone"),
        "end": ("string", "Last moment, in ISO 8601 with the time zone"),
        "calendar_id": ("string", "Identifier of one calendar; left out, all of them are read"),
    }, ("start", "end")),
    ("create_calendar_event", "Create an event in a calendar of the user. Ask before inviting anybody else.", {
        "title": ("string", "Title of the event"), "start": ("string", "Beginning, in ISO 8601 with the time zone"),
        "end": ("string", "End, in ISO 8601 with the time zone"), "location": ("string", "Where it takes place"),
        "description": ("string", "Anything else that those who come should know"),
        "attendees": ("array", "Addresses of those to be invited"),
        "all_day": ("boolean", "Whether it lasts for whole days (default: false)"),
    }, ("title", "start", "end")),
    ("update_calendar_event", "Change the title, the time, the place or the description of an event.", {
        "event_id": ("string", "Identifier of the event, as list_calendar_events returns it"),
        "title": ("string", "New title; left out, it stays"), "start": ("string", "New beginning, in ISO 8601"),
        "end": ("string", "New end, in ISO 8601"), "location": ("string", "New place"),
        "description": ("string", "New description"),
    }, ("event_id",)),
    ("delete_calendar_event", "Delete an event from a calendar of the user. Ask the user before doing so.", {
        "event_id": ("string", "Identifier of the event, as list_calendar_events returns it"),
    }, ("event_id",)),
    ("create_automation", "Create an instruction that is carried out by itself at certain times, and whose result is "
     "sent to the user as a message.", {
         "name": ("string", "A short name by which the user knows it again"),
         "prompt": ("string", "What is to be done each time, to be understood without this conversation"),
         "schedule": ("string", "When, as a rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9"),
     }, ("name", "prompt", "schedule")),
    ("list_automations", "List the instructions that are carried out by themselves, with their names, times and when "
     "each of them is due next.", {"status": ("string", "active, paused or all (default: all)"), "count": _COUNT}, ()),
    ("delete_automation", "Delete an instruction, so that it is not carried out any more.", {
        "automation_id": ("string", "Identifier of the instruction, as list_automations returns it"),
    }, ("automation_id",)),
)  # fmt: skip


def desk_tools() -> list[dict[str, Any]]:
    """In the form of OpenAI's chat completions."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": description,
                "parameters": {
                    "type": "object",
                    "properties": {
                        key: {"type": kind, **({"items": {"type": "string"}} if kind == "array" else {}),
                              "description": words}
                        for key, (kind, words) in properties.items()
                    },
                    "required": list(required),
                },
            },
        }
        for name, description, properties, required in _ROWS
    ]  # fmt: skip
