from library.cards import labels

labels([{"title": "Emma", "author": "Austen"}, {"title": "Edda"}])
