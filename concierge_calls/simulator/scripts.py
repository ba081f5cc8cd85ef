"""The sentences of which conversations are made: they fit any service, and the facts of the call are filled in."""

from typing import Final

OPENINGS: Final = (
    "Hello, this is an AI assistant calling on behalf of {client}. Am I speaking with {provider}?",
    "Hi there, I'm an automated assistant, and I'm calling for {client}. Is this {provider}?",
    "Good day, this is an AI assistant. I'm calling {provider} for {client}. Do you have a minute?",
)
GREETINGS: Final = (
    "Yes, this is {tech}. What can I do for you?",
    "{provider}, {tech} speaking. How can I help?",
    "Yeah, you've got {tech} here. Go ahead.",
)
NEEDS: Final = (
    "{client} is looking for {service}{where}, {when}.{problem} Is that something you could take on?",
    "It's about {service}{where}.{problem} It should happen {when}. Do you do that kind of work?",
    "{client} needs {service}{where} and hopes to have it done {when}.{problem} Would you be able to help?",
)
YESES: Final = (
    "Sure, we do that all the time.",
    "Yes, that's our line of work. What else do you need to know?",
    "We can do that, yes.",
)
CRITERIA: Final = (
    "Thanks. These points matter: {criteria}. Is there one person who covers all of that?",
    "Good to hear. The requirements are: {criteria}. Would a single person on your team meet every one of them?",
)
MEETS: Final = (
    "Yes, that would be {worker}. No problem with any of that.",
    "{worker} covers all of it, been with us for years.",
    "All of it, yes. I'd send {worker}.",
)
WHENS: Final = (
    "When could {worker} be there at the earliest?",
    "What is the earliest time {worker} could come?",
)
DAYS: Final = (
    "Let me look... {day} would work.",
    "Earliest I have is {day}.",
    "{worker} has an opening {day}.",
)
COSTS: Final = (
    "And roughly what would it cost?",
    "Could you give me an idea of your rate?",
)
RATES: Final = (
    "That's {rate}.",
    "We charge {rate}.",
    "Usually {rate}, give or take.",
)
THANKS: Final = (
    "Thank you, that is all I need. {client} will be in touch to confirm. Goodbye!",
    "That's very helpful, thank you. {client} will get back to you. Have a good day!",
)
BYES: Final = ("Sounds good, bye.", "Alright, thanks for calling.", "Okay, talk soon. Bye bye.")

ANSWERS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    # What the other side says after the need was put, what the assistant makes of it, and the last word.
    "callback": (
        (
            "Probably, but {worker} does the scheduling and isn't in right now. Can we call back {day}?",
            "Of course. {client} will expect your call {day}. Thank you.",
            "Great, we'll do that.",
        ),
        (
            "I'd have to check with {worker} first. Let us call you back {day}.",
            "That works. I'll pass on that you will call {day}. Goodbye!",
            "Thanks, bye.",
        ),
    ),
    "unavailable": (
        (
            "I'm sorry, we're booked solid for the next three weeks.",
            "I understand. Thank you for letting me know, and have a good day.",
            "You too, bye.",
        ),
        (
            "We're not taking on anything new at the moment, sorry about that.",
            "No problem at all. Thank you for your time.",
            "Sure. Good luck.",
        ),
    ),
    "disqualified": (
        (
            "We could do part of it. But if {criteria} is a must, I have to be honest: we don't meet all of that.",
            "Thank you for being so open. Then it is not the right fit this time. Have a good day!",
            "No worries, bye.",
        ),
        (
            "What does it call for? ... {criteria}? No, not all of that, I'm afraid.",
            "I appreciate the straight answer. That is all I needed. Goodbye!",
            "Okay, bye.",
        ),
    ),
    "do-not-call": (
        (
            "No, and please take us off your list. Don't call this number again.",
            "I apologize for the interruption. I will note that you don't wish to be called. Goodbye.",
            "Thanks.",
        ),
        (
            "We don't talk to robots. Don't call here anymore, please.",
            "Understood, and I'm sorry to have bothered you. You will not be called again.",
            "Good.",
        ),
    ),
}

CHATTER: Final = (
    ("Hold on, let me ask somebody... are you still there?", "Yes, I am still here. Please take your time."),
    ("So the thing is, last year we had a job just like that one.", "I see. And would you have time for this one?"),
    ("Well, that depends. It always depends, you know.", "What does it depend on?"),
    ("Just a second, the other phone is ringing... okay, where were we?", "We were talking about {service}."),
    ("We'd need to know more. How big is it? What does it look like?", "Around the usual size. Could you take it on?"),
    ("Somebody just walked in. One moment... okay, go on.", "Thank you. I was asking when you could come."),
    ("My brother-in-law used to handle those. Good man. Moved away.", "Who on your team would do it today?"),
)
MACHINES: Final = (
    "You've reached {provider}. We can't come to the phone right now. Please leave a message after the tone.",
    "Hi, thanks for calling {provider}. Our office is closed. Leave your name and number and we'll call you back.",
)
MESSAGE: Final = (
    "Hello, this is an AI assistant calling for {client} about {service}. We will try another time. Goodbye."
)
UNHEARD: Final = "Hello? Is anybody there?"

PEOPLE: Final = ("Mike", "Sarah", "Tony", "Linda", "Carlos", "Denise", "Ray", "Priya")
WHEN_FREE: Final[dict[str, tuple[str, ...]]] = {
    "0": ("tomorrow at 9 AM", "tomorrow around 2 PM", "tomorrow morning between 8 and 10"),
    "1": ("today at 4 PM", "this evening after 5:30", "today, within two hours"),
    "2": ("on Thursday morning", "on Friday at 10 AM", "the day after tomorrow in the afternoon"),
    "3": ("this afternoon", "tomorrow before noon", "after 3 PM today"),
}
PRICES: Final[dict[str, tuple[str, ...]]] = {
    "0": ("$95 an hour", "$110 an hour plus parts", "$85 an hour, two hours minimum"),
    "1": ("a flat $140 for the visit", "$180 all in", "a $75 call-out fee, credited towards the job"),
    "2": ("between $250 and $300", "about $400, after a free estimate", "$60 for the estimate"),
}
