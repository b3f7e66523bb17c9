"""Short texts with the label that fits, written for this project. Odd ones calibrate, even ones test.

Each set is (labels, rows); a row is (index of its label, text).
"""

from __future__ import annotations

Set = tuple[tuple[str, ...], tuple[tuple[int, str], ...]]

PAPERS: Set = (
    ("invoice", "letter of application", "recipe", "weather report", "source code", "poem"),
    (
        (0, "Item: 4 oak chairs. Unit price 42.00 EUR. Subtotal 168.00, VAT 19 %, total due 199.92 by 30 June."),
        (
            0,
            "Order 88213, shipped 3 May. 12 toner cartridges at 31.50 each. Please transfer the amount within 14 days.",
        ),
        (0, "Rechnung Nr. 2041. Beratung, 6 Stunden zu 90 Euro. Gesamtbetrag 642,60 Euro, zahlbar bis zum 15. August."),
        (0, "Hosting plan, March to May: 3 x 9.99. Balance payable: 29.97. Bank details are on the back."),
        (1, "I would like to join your team as a nurse. I have worked on a children's ward for six years."),
        (1, "Dear Ms Hall, your advertisement for a junior accountant caught my eye. I enclose my references."),
        (1, "Je me permets de vous proposer mes services comme boulanger ; vous trouverez ci-joint mon parcours."),
        (1, "My studies in chemistry and two summers in a laboratory have prepared me for the post you offer."),
        (2, "Whisk three eggs with 200 g of sugar, fold in the flour, and bake at 180 degrees for 35 minutes."),
        (2, "Soak the beans overnight. Fry an onion, add the beans and stock, simmer for an hour, season with cumin."),
        (2, "Die Kartoffeln schälen, in Scheiben schneiden, mit Sahne übergießen und im Ofen goldbraun backen."),
        (2, "For the dough knead flour, yeast, water and a pinch of salt; let it rise until it has doubled."),
        (3, "Cloudy in the north with showers by noon, eleven degrees; clearing from the west towards evening."),
        (3, "A deep low brings gales to the coast tonight. Snow above 800 metres, rain below."),
        (3, "Demain, du soleil sur tout le pays, 24 à 29 degrés, quelques orages isolés sur les Alpes."),
        (3, "Fog patches at dawn, then dry and mild, highs of 16, light winds from the south."),
        (4, "for (int i = 0; i < n; i++) { if (a[i] > best) { best = a[i]; } } return best;"),
        (4, "def area(radius):\n    return 3.14159 * radius ** 2\n\nprint(area(2))"),
        (4, "SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3 ORDER BY name;"),
        (4, "const names = users.filter(u => u.active).map(u => u.name); console.log(names);"),
        (5, "The river keeps the moon awake, / it hums of what the reeds forget, / and I, ashore, for silence' sake"),
        (5, "O little lamp against the snow, you lean your gold on every stone, and teach the dark a thing I know."),
        (
            5,
            "Still liegt der See, die Sterne sinken, / ein Vogel ruft, dann ruft er nicht, / und meine Augen trinken",
        ),
        (5, "Autumn came barefoot up the stair and left her leaves in every room, a copper hush upon the air."),
    ),
)
TOPICS: Set = (
    ("sport", "medicine", "music", "politics", "astronomy"),
    (
        (0, "She ran the last lap in 58 seconds and took gold ahead of the Kenyan favourite."),
        (0, "The keeper saved two penalties, and the home side won the cup after extra time."),
        (0, "Der Verein verpflichtet einen neuen Stürmer für drei Jahre."),
        (0, "After a broken string in the second set he lost his serve and the match."),
        (1, "The patient was given antibiotics because the wound had become infected."),
        (1, "A new vaccine halves the number of severe cases among people over seventy."),
        (1, "Le chirurgien a remplacé la hanche en moins de deux heures."),
        (1, "High blood pressure often causes no pain and is found only when it is measured."),
        (2, "The second movement is in a minor key, and the cello carries the theme."),
        (2, "Their new album mixes a brass band with drum machines."),
        (2, "Die Sopranistin sang die Arie ohne Mikrofon, und das Orchester spielte leise."),
        (2, "He tuned the guitar half a step down and added a capo for the chorus."),
        (3, "Parliament voted down the budget, and the minister of finance stepped back."),
        (3, "The mayor promised cheaper buses if her party wins the election in May."),
        (3, "Les députés débattent de la réforme des retraites jusqu'à tard dans la nuit."),
        (3, "Both governments signed the treaty after nine months of talks."),
        (4, "The telescope found water vapour in the air of a planet 120 light years away."),
        (4, "A comet with a green tail can be seen before dawn this week."),
        (4, "Der Rover hat auf dem Mars eine neue Gesteinsprobe genommen."),
        (4, "Two neutron stars merged, and the waves in spacetime were measured on Earth."),
    ),
)
MOODS: Set = (
    ("a customer who complains", "a customer who is happy", "a customer who asks a question"),
    (
        (0, "The kettle leaked from the first day and nobody answers the phone. I want my money back."),
        (0, "Third time the parcel came broken. This is the last time I order here."),
        (0, "Ich warte seit vier Wochen auf meine Bestellung, das ist unmöglich!"),
        (0, "The room was dirty, the heating did not work, and the staff could not have cared less."),
        (1, "Arrived a day early and works like a dream, thank you so much!"),
        (1, "Best boots I ever had; my sister ordered a pair as well."),
        (1, "Un accueil chaleureux et un repas délicieux, nous reviendrons."),
        (1, "Your support solved it in two minutes. I am delighted."),
        (2, "Does the lamp come with a bulb, and which socket does it have?"),
        (2, "Could you tell me until when I can change the delivery address?"),
        (2, "Gibt es das Hemd auch in Größe 44?"),
        (2, "Is it possible to pay by bank transfer, and do you ship to Norway?"),
    ),
)
SETS: dict[str, Set] = {"papers": PAPERS, "topics": TOPICS, "moods": MOODS}
