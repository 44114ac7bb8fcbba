from seats.labels import row_labels

row_labels("c", [11, 12])
